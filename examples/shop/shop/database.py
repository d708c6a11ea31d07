"""The shop's own database: tables, first rows, and one session per request."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

USERS = 40
ITEMS = 60
THREADS = ("opening-hours", "new-themes", "shipping-to-canada", "feature-requests", "tax-season")
THEMES = ("light", "dark", "ocean", "forest", "high-contrast")
PASSWORD = "open-sesame"  # noqa: S105 - everybody's password in this example

engine = create_engine(f"sqlite:///{os.environ.get('SHOP_DATABASE', 'shop.db')}", pool_size=40)
_pace = float(os.environ.get("SHOP_PACE", "1"))


class Base(DeclarativeBase):
    """All tables of the shop."""


class User(Base):
    """Somebody who may log in."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    theme: Mapped[str] = mapped_column(default="light")


class Login(Base):
    """A session: the cookie of a logged-in user."""

    __tablename__ = "logins"
    token: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Sale(Base):
    """One point-of-sale transaction."""

    __tablename__ = "sales"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[float]
    currency: Mapped[str]
    payment_method: Mapped[str]


class Transcript(Base):
    """What somebody learned; number 5 of every user is damaged."""

    __tablename__ = "transcripts"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    grades: Mapped[str]


class Wallet(Base):
    """A crypto wallet and its balance in millionths of a coin."""

    __tablename__ = "wallets"
    address: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Item(Base):
    """Something on the marketplace."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[float]


class Post(Base):
    """One post in a thread of the forum."""

    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    thread: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    text: Mapped[str]


def email_of(user_id: int) -> str:
    """Return the e-mail address of a user."""
    return f"user{user_id}@shop.example"


def wallet_of(user_id: int) -> str:
    """Return the address of a user's wallet."""
    return f"0x{random.Random(user_id).getrandbits(160):040x}"


def prepare() -> None:
    """Create the tables, and the first rows where there are none."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        if session.scalar(select(User).limit(1)) is None:
            session.add_all(_first_rows())


def _first_rows() -> Iterator[Base]:
    for user_id in range(1, USERS + 1):
        yield User(id=user_id, email=email_of(user_id))
        yield Wallet(address=wallet_of(user_id), balance=user_id * 250_000)
        for number in range(1, 6):
            yield Transcript(user_id=user_id, number=number, grades="?" if number == 5 else "A,B,A")  # noqa: PLR2004
    for item_id in range(1, ITEMS + 1):
        yield Item(id=item_id, name=f"Item {item_id}", price=item_id * 1.5)
    for thread in THREADS:
        yield Post(thread=thread, user_id=1, text=f"Welcome to {thread.replace('-', ' ')}")


def work(least: float, most: float) -> None:
    """Take as long as a slow partner or a long computation would; ``SHOP_PACE=0`` skips it."""
    time.sleep(_pace * random.uniform(least, most))


def _open() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(_open)]
