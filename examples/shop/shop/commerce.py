"""Buying and selling: point of sale, crypto withdrawals, the marketplace and its themes."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import literal, update

from calos_telemetry import track_error, track_feature
from shop.database import THEMES, Database, Item, Sale, User, Wallet, work
from shop.people import CurrentUser

CARD_LIMIT = 400
router = APIRouter(prefix="/api")


class NewSale(BaseModel):
    """What the till sends."""

    amount: Annotated[float, Field(gt=0, le=100_000)]
    currency: Literal["USD", "EUR", "CAD"] = "USD"
    payment_method: Literal["cash", "card", "crypto"]


class PaymentDeclinedError(Exception):
    """The card company said no."""


@router.post("/pos/transactions", status_code=201)
def sell(request: Request, database: Database, sale: NewSale) -> dict[str, int | str]:
    """Record a sale; large amounts on a card are declined."""
    facts = {"amount": sale.amount, "payment_method": sale.payment_method, "currency": sale.currency}
    if sale.payment_method == "card" and sale.amount > CARD_LIMIT:
        track_feature(request, "pos_transaction", {"status": "failed", **facts})
        track_error(request, PaymentDeclinedError("card 4111 1111 1111 1111 declined"), {"operation": "pos_payment"})
        raise HTTPException(402, "the card was declined")
    row = Sale(**sale.model_dump())
    database.add(row)
    database.commit()
    track_feature(request, "pos_transaction", {"status": "completed", **facts})
    return {"id": row.id, "status": "completed"}


@router.get("/pos/{sale_id}")
def show_sale(database: Database, sale_id: int) -> dict[str, int | float | str]:
    """Return one sale."""
    sale = database.get(Sale, sale_id)
    if sale is None:
        raise HTTPException(404, "no such sale")
    return {"id": sale.id, "amount": sale.amount, "currency": sale.currency}


class Withdrawal(BaseModel):
    """How much to withdraw, in millionths of a coin."""

    amount: Annotated[int, Field(gt=0)]


@router.post("/crypto/{wallet}/withdraw")
def withdraw(request: Request, database: Database, wallet: str, wish: Withdrawal) -> dict[str, int]:
    """Move coins out of a wallet; asking the chain takes its time."""
    work(0.2, 0.6)
    row = database.get(Wallet, wallet)
    if row is None:
        raise HTTPException(404, "no such wallet")
    enough = Wallet.address == wallet, Wallet.balance >= wish.amount
    if (
        database.scalar(
            update(Wallet).where(*enough).values(balance=Wallet.balance - wish.amount).returning(literal(1))
        )
        is None
    ):
        track_feature(request, "crypto_withdrawal", {"status": "failed"})
        raise HTTPException(402, "the balance is too low")
    database.commit()
    track_feature(request, "crypto_withdrawal", {"status": "completed", "currency": "BTC"})
    return {"balance": row.balance}


@router.get("/marketplace/items/{item_id}")
def show_item(request: Request, database: Database, item_id: int) -> dict[str, int | float | str]:
    """Return one item."""
    item = database.get(Item, item_id)
    if item is None:
        raise HTTPException(404, "no such item")
    track_feature(request, "marketplace_item")
    return {"id": item.id, "name": item.name, "price": item.price}


class ThemeChoice(BaseModel):
    """The theme somebody likes."""

    theme: str


@router.post("/marketplace/theme")
def choose_theme(request: Request, database: Database, user_id: CurrentUser, choice: ThemeChoice) -> dict[str, str]:
    """Change how the marketplace looks."""
    if choice.theme not in THEMES:
        raise HTTPException(422, f"there is no such theme; there are {', '.join(THEMES)}")
    user = database.get_one(User, user_id)
    user.theme = choice.theme
    database.commit()
    track_feature(request, "theme_change", {"theme": choice.theme})
    return {"theme": choice.theme}
