"""Statements that the ORM compiles once, and that are executed with values from then on. Layer 2.

To build and compile a short statement costs the ORM several times as much as to execute it. Here a
method of a QuerySet says in the ORM's words what is read or changed. It is called once for each
database, with a place for each value, and the SQL that comes of it is kept.

Not documented by Django: a QuerySet's `query` and `_db`, and the compilers behind them.
`tests/test_compiled_statements.py` holds what comes of them against the ORM's own, on each version.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, wraps
from inspect import signature
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import UpdateQuery
from django.db.transaction import mark_for_rollback_on_error

if TYPE_CHECKING:
    Field = models.Field[Any, Any]

M = TypeVar("M", bound=models.Model)
P = ParamSpec("P")

# The rows that are changed, and how.
Update = tuple[models.QuerySet[Any], dict[str, Any]]


class Place(models.Expression):
    """Where a value will stand in a statement; until then it is its own parameter."""

    def __init__(self, name: str, field: "Field") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        """Leave a place in the SQL."""
        return "%s", [self]

    def fill(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Give a value as the database takes it; raises `ValueError` for None where none may be.

        In a comparison the ORM would write IS NULL for it, which is another statement.
        """
        if value is None and not self.output_field.null:
            raise ValueError(f"{self.name} is None.")
        prepared = self.output_field.get_prep_value(value)
        return self.output_field.get_db_prep_value(prepared, connection, prepared=True)


class Compiled(NamedTuple):
    """A statement in the SQL of one database; among its parameters are places."""

    sql: str
    parameters: tuple[Any, ...]
    read: Callable[[Any, BaseDatabaseWrapper], Any]

    def execute(self, values: dict[str, Any], connection: BaseDatabaseWrapper) -> Any:
        """Execute it with the values, and read what came of it."""
        parameters = [
            each.fill(values[each.name], connection) if isinstance(each, Place) else each
            for each in self.parameters
        ]
        with mark_for_rollback_on_error(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(self.sql, parameters)
            return self.read(cursor, connection)


class Statement:
    """What a method writes, compiled for each database and each shape of its arguments."""

    def __init__(
        self,
        write: Callable[..., Any],
        compile_: Callable[[Any, BaseDatabaseWrapper], Compiled],
        fields: dict[str, "Field | None"],
    ) -> None:
        self._write, self._compile, self._fields = write, compile_, fields
        self._constants = [name for name, field in fields.items() if field is None]
        self._compiled: dict[tuple[Any, ...], Compiled] = {}

    @cached_property
    def _names(self) -> list[str]:
        return list(signature(self._write).parameters)[1:]

    def execute(self, rows: Any, alias: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """Execute it on a database with the arguments of the method."""
        if rows.query.where:
            raise TypeError(f"{self._write.__name__}() chooses its rows by itself.")
        connection = connections[alias]
        values = dict(zip(self._names, args, strict=False), **kwargs)
        constants = [values.get(name) for name in self._constants]
        shape = (rows.model, alias, connection.vendor, len(args), *kwargs, *constants)
        compiled = self._compiled.get(shape)
        if compiled is None:
            signature(self._write).bind(rows, *args, **kwargs)  # raises what a call would raise
            places = {name: self._place(name, rows.model, value) for name, value in values.items()}
            compiled = self._compile(self._write(rows.using(alias), **places), connection)
            self._compiled[shape] = compiled
        return compiled.execute(values, connection)

    def _place(self, name: str, model: type[models.Model], value: Any) -> Any:
        if name in self._constants:
            return value
        options: Any = model._meta
        field = options.pk if name == "pk" else self._fields.get(name)
        return Place(name, field or options.get_field(name))


def compiled_update(
    **fields: "Field | None",
) -> Callable[[Callable[Concatenate[Any, P], Update]], Callable[Concatenate[Any, P], bool]]:
    """Execute the UPDATE that a method writes; say whether there was a row to change.

    Each argument of the method is a place for values of the model's field of this name, or of the
    field given here. With None here it is a constant: each of its values has its own statement.
    """

    def decorate(write: Callable[Concatenate[Any, P], Update]) -> Any:
        statement = Statement(write, _compile_update, fields)

        @wraps(write)
        def update(rows: Any, *args: P.args, **kwargs: P.kwargs) -> bool:
            alias = rows._db or router.db_for_write(rows.model)
            return bool(statement.execute(rows, alias, args, kwargs))

        return update

    return decorate


def compiled_select(
    **fields: "Field | None",
) -> Callable[
    [Callable[Concatenate[Any, P], "models.QuerySet[M]"]],
    Callable[Concatenate[Any, P], M | None],
]:
    """Execute the SELECT that a method writes; give the first object, or None.

    Arguments are as for `compiled_update`. Foreign keys that are never NULL may be joined by
    `select_related`.
    """

    def decorate(write: Callable[Concatenate[Any, P], "models.QuerySet[M]"]) -> Any:
        statement = Statement(write, _compile_select, fields)

        @wraps(write)
        def select(rows: Any, *args: P.args, **kwargs: P.kwargs) -> M | None:
            found: list[M] = statement.execute(rows, rows.db, args, kwargs)
            return found[0] if found else None

        return select

    return decorate


def compiled_list(
    write: Callable[Concatenate[Any, P], "models.QuerySet[M]"],
) -> Callable[Concatenate[Any, P], list[M]]:
    """Execute the SELECT that a method writes; give all objects, as `compiled_select` the first."""
    statement = Statement(write, _compile_select, {})

    @wraps(write)
    def select(rows: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        return statement.execute(rows, rows.db, args, kwargs)

    return select  # type: ignore[return-value]  # the name of the first argument alone differs


def _compile_update(update: Update, connection: BaseDatabaseWrapper) -> Compiled:
    rows, changes = update
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    sql, parameters = query.get_compiler(connection=connection).as_sql()
    return Compiled(sql, tuple(parameters), lambda cursor, _connection: cursor.rowcount)


def _compile_select(rows: models.QuerySet[Any], connection: BaseDatabaseWrapper) -> Compiled:
    joined = _Joined(rows.model, cast("dict[str, Any]", rows.query.select_related or {}))
    compiler = rows.values_list(*joined.paths()).query.get_compiler(connection=connection)
    sql, parameters = compiler.as_sql()
    columns = [column for column, _sql, _alias in compiler.select]
    converted = [(at, columns[at]) for at in compiler.get_converters(columns)]

    def read(cursor: Any, connection: BaseDatabaseWrapper) -> Any:
        return [read_row(list(row), connection) for row in cursor.fetchall()]

    def read_row(values: list[Any], connection: BaseDatabaseWrapper) -> Any:
        for at, column in converted:
            # Those of this thread's connection; the one that compiled belongs to another.
            converters = connection.ops.get_db_converters(column)
            for convert in [*converters, *column.get_db_converters(connection)]:
                values[at] = convert(values[at], column, connection)
        return joined.take(iter(values), connection)

    return Compiled(sql, tuple(parameters), read)


class _Joined:
    """A model and what is joined to it, in the order in which their values stand in a row."""

    def __init__(self, model: type[models.Model], names: dict[str, Any]) -> None:
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields]
        fields: list[Any] = [model._meta.get_field(name) for name in names]
        self._joins = [(each, _Joined(each.related_model, names[each.name])) for each in fields]

    def paths(self) -> list[str]:
        """Name all columns as the ORM does from the model."""
        joins = (f"{each.name}__{path}" for each, other in self._joins for path in other.paths())
        return [*self._names, *joins]

    def take(self, values: Iterator[Any], connection: BaseDatabaseWrapper) -> models.Model:
        """Make the object whose values come next, and those that are joined to it."""
        own = list(islice(values, len(self._names)))
        taken = self._model.from_db(connection.alias, self._names, own)
        for field, other in self._joins:
            field.set_cached_value(taken, other.take(values, connection))
        return taken
