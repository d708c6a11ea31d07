"""Who is asking: login, and the middleware that tells the rest of the application (and telemetry) who it is."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from calos_telemetry import track_feature
from shop.database import PASSWORD, Database, Login, User, engine

COOKIE = "shop_session"
router = APIRouter()


class PeopleMiddleware:
    """Sets ``request.state.user_id`` and ``request.state.session_id`` from the cookie or a bearer token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "http":
            request = Request(scope)
            token = request.cookies.get(COOKIE) or request.headers.get("authorization", "").removeprefix("Bearer ")
            request.state.session_id = token or None
            request.state.user_id = await run_in_threadpool(_user_of, token) if token else None
        await self.app(scope, receive, send)


def _user_of(token: str) -> int | None:
    with Session(engine) as session:
        return session.scalar(select(Login.user_id).where(Login.token == token))


def _require_user(request: Request) -> int:
    user_id: int | None = request.state.user_id
    if user_id is None:
        raise HTTPException(401, "log in first")
    return user_id


CurrentUser = Annotated[int, Depends(_require_user)]


class Credentials(BaseModel):
    """What somebody types to log in."""

    email: str
    password: str


@router.post("/login")
def log_in(request: Request, response: Response, database: Database, credentials: Credentials) -> dict[str, int | str]:
    """Start a session."""
    user = database.scalar(select(User).where(User.email == credentials.email))
    if user is None or not secrets.compare_digest(credentials.password.encode(), PASSWORD.encode()):
        track_feature(request, "login", {"success": False})
        raise HTTPException(401, "wrong e-mail or password")
    user_id, token = user.id, secrets.token_urlsafe(24)
    database.add(Login(token=token, user_id=user_id))
    database.commit()
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax")
    track_feature(request, "login", {"success": True})
    return {"user_id": user_id, "token": token}
