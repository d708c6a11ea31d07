"""Talking to other software: QuickBooks, which is slow and fails in two ways, and GraphQL."""

from __future__ import annotations

import itertools
import re
import socket
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from calos_telemetry import track_error, track_feature
from shop.database import Database, Item, work

DATABASE_FAILS_EVERY = 5
NETWORK_FAILS_EVERY = 7
router = APIRouter()
_syncs = itertools.count(1)
_CLOSED_PORT = ("127.0.0.1", 9)  # nobody serves "discard" any more: the connection is refused
_QUERY = re.compile(r"\{\s*item\s*\(\s*id\s*:\s*(\d{1,9})\s*\)\s*\{([\s\w]+)\}\s*\}")


@router.post("/api/integrations/quickbooks/sync")
def sync_quickbooks(request: Request, database: Database) -> dict[str, str]:
    """Send the books to QuickBooks: every fifth time our queue is missing, every seventh the partner does not answer."""
    turn = next(_syncs)
    try:
        if turn % DATABASE_FAILS_EVERY == 0:
            database.execute(text("SELECT id FROM quickbooks_queue WHERE owner = 'user7@shop.example'"))
        if turn % NETWORK_FAILS_EVERY == 0:
            socket.create_connection(_CLOSED_PORT, timeout=1).close()
    except (OperationalError, OSError) as error:
        track_error(request, error, {"operation": "quickbooks_sync"})
        track_feature(request, "quickbooks_sync", {"success": False})
        raise HTTPException(503 if isinstance(error, OperationalError) else 502, "try again later") from None
    work(0.3, 1.2)
    track_feature(request, "quickbooks_sync", {"success": True, "duration_ms": 400})
    return {"status": "completed"}


class Question(BaseModel):
    """A GraphQL request; this example understands ``{ item(id: 3) { name price } }``."""

    query: str


@router.post("/graphql")
def answer_graphql(request: Request, database: Database, question: Question) -> dict[str, Any]:
    """Answer a GraphQL query; as GraphQL has it, a failure is a 200 too."""
    found = _QUERY.fullmatch(question.query.strip())
    if found is None:
        return {"data": None, "errors": [{"message": "cannot parse the query"}]}
    item = database.get(Item, int(found[1]))
    track_feature(request, "graphql_query", {"success": item is not None})
    known = {} if item is None else {"id": item.id, "name": item.name, "price": item.price}
    return {"data": {"item": {name: known.get(name) for name in found[2].split()} if known else None}}
