"""Lists of tables that nobody can count: pages without a number of pages. Layer 5.

To count ten million rows takes seconds. One row more than a page shows says whether there is
another page, and that is all one needs to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

# A page far behind is found by going through all rows before it.
MAX_PAGE = 200


if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator


class KnownPaginator(AnyPaginator):
    """A paginator that is told how many rows are known of, and counts none."""

    def __init__(self, *args: Any, known_count: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known_count = known_count

    @property
    def count(self) -> int:
        """Give the rows up to the end of this page, and one more where there are more."""
        return self._known_count


class UncountedChangeList(ChangeList):
    """The list of a model, page by page, in an order that has an index."""

    # The fields that may be sorted by; another order would read, and sort, the whole table.
    indexed_ordering: tuple[str, ...] = ("created_at",)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Sort as the address says where there is an index, else as the model's page does."""
        ordering = super().get_ordering(request, queryset)
        first = str(ordering[0])
        if first.lstrip("-") not in self.indexed_ordering:
            first = str(self.model_admin.get_ordering(request)[0])
        # One direction: an index is read forwards or backwards.
        return [first, "-pk" if first.startswith("-") else "pk"]

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and one row more."""
        if not 1 <= self.page_num <= MAX_PAGE:
            raise IncorrectLookupParameters
        start = (self.page_num - 1) * self.list_per_page
        rows = list(self.queryset[start : start + self.list_per_page + 1])
        self.has_next = len(rows) > self.list_per_page
        self.has_previous = self.page_num > 1
        self.is_last_allowed = self.page_num == MAX_PAGE
        self.result_list = rows[: self.list_per_page]
        # What Django's templates, and those of other themes, ask for. As many results as there are
        # on the page: else an action could be meant for "all", and nobody knows how many they are.
        self.result_count = len(self.result_list)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = self.has_next or self.has_previous
        self.paginator = KnownPaginator(
            self.queryset, self.list_per_page, known_count=start + len(rows)
        )

    @property
    def next_query(self) -> str:
        """Give the address of the next page."""
        return self.get_query_string({PAGE_VAR: self.page_num + 1})

    @property
    def previous_query(self) -> str:
        """Give the address of the page before."""
        return self.get_query_string({PAGE_VAR: self.page_num - 1})
