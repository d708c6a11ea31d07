"""Operation and table of a statement, and that nothing else of it gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.instrument.statements import series_of


@pytest.mark.parametrize(
    ("statement", "series"),
    [
        ("SELECT id, name FROM orders WHERE id = ?", "SELECT orders"),
        ("select * from shop.Orders o join lines l on l.id = o.id", "SELECT orders"),
        ('SELECT "auth_user"."id" FROM "auth_user" WHERE "auth_user"."name" = %s', "SELECT auth_user"),
        ("SELECT `id` FROM `db`.`orders`", "SELECT orders"),
        ("SELECT id FROM [dbo].[orders]", "SELECT orders"),
        ("-- for bob\n/* from bob */ SELECT 1 FROM orders", "SELECT orders"),
        ("SELECT * FROM (SELECT a FROM inner_table) AS x", "SELECT inner_table"),
        ("SELECT 'a from alice' FROM orders", "SELECT orders"),
        ("SELECT 'it''s from alice' FROM orders", "SELECT orders"),
        ("WITH recent AS (SELECT * FROM orders) SELECT * FROM recent", "SELECT orders"),
        ("WITH old AS (SELECT id FROM orders) DELETE FROM orders", "DELETE orders"),
        ("INSERT INTO orders (a) VALUES (?) RETURNING id", "INSERT orders"),
        ("INSERT OR IGNORE INTO orders VALUES (1)", "INSERT orders"),
        ("REPLACE INTO orders VALUES (1)", "INSERT orders"),
        ("UPDATE ONLY orders SET a = 1", "UPDATE orders"),
        ("DELETE FROM orders", "DELETE orders"),
        ("(SELECT 1)", "SELECT"),
        ("SELECT * FROM orders_4711_2024", "SELECT :id"),
        ("BEGIN", "OTHER"),
        ("CREATE TABLE alice (a int)", "OTHER"),
        ("CALL charge('alice')", "OTHER"),
        ("", "OTHER"),
        (None, "OTHER"),
        (b"SELECT 1 FROM x", "OTHER"),
    ],
)
def test_operation_and_table(statement: object, series: str) -> None:
    """The usual shapes of the four operations give their table; everything else gives none."""
    assert series_of(statement) == series


@pytest.mark.parametrize(
    "statement",
    [
        r"SELECT 'C:\' AS a, ' from alice ' FROM orders",
        r"SELECT 'it\'s from alice' FROM orders",
        "SELECT $$ from alice $$ FROM orders",
        "SELECT $q$ from alice $q$ FROM orders",
        "SELECT 'unfinished from alice",
        'SELECT "x from alice" FROM orders',
        "SELECT /*! from alice */ 1 FROM orders",
    ],
)
def test_where_texts_are_in_doubt_no_table_is_named(statement: str) -> None:
    """Quoting that databases disagree about never lets the inside of a text through."""
    assert "alice" not in series_of(statement)


@given(
    st.text(max_size=300), st.sampled_from(["SELECT a FROM orders WHERE x = '{}'", "INSERT INTO orders VALUES ('{}')"])
)
def test_escaped_texts_never_show(text: str, statement: str) -> None:
    """Whatever stands in a properly escaped text, the answer is the same."""
    assert series_of(statement.format(text.replace("'", "''"))) in (
        "SELECT orders",
        "INSERT orders",
        "SELECT",
        "INSERT",
    )


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", ["'", "(", "/*", "FROM ", "FROM a.", '"', "$", " ", "WITH x AS ("])
def test_long_statements_take_linear_time(piece: str) -> None:
    """A statement of a megabyte of one piece is read in a moment."""
    assert len(series_of("SELECT " + piece * (1_000_000 // len(piece)))) < 200
