"""What the servers add to their answers."""

import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def name_process(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Say which process answered, so that a test can tell that several did."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Process"] = str(os.getpid())
        return response

    return answer
