"""Reading and talking: pages, transcripts, the forum."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from sqlalchemy import select

from calos_telemetry import track_feature
from shop.database import THREADS, Database, Post, Transcript, email_of, work
from shop.people import CurrentUser

router = APIRouter()
_PAGE = "<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1>{body}"


@router.get("/", response_class=HTMLResponse)
def home() -> str:
    """Show the front page."""
    links = "".join(f'<li><a href="/forum/{thread}">{thread}</a>' for thread in THREADS)
    return _PAGE.format(title="CALOS shop", body=f'<p><a href="/pricing">Pricing</a><ul>{links}</ul>')


@router.get("/pricing", response_class=HTMLResponse)
def pricing(request: Request) -> str:
    """Show what it costs."""
    track_feature(request, "pricing_page", {"plan": "pro"})
    return _PAGE.format(title="Pricing", body="<p>Community: free. Pro: ask. Enterprise: ask longer.")


@router.get("/api/users/{user_id}/transcripts/{transcript_id}")
def show_transcript(request: Request, database: Database, user_id: int, transcript_id: int) -> dict[str, int | str]:
    """Compute the grades of a transcript, slowly; a damaged one ends in an exception that nobody catches."""
    transcript = database.get(Transcript, (user_id, transcript_id))
    if transcript is None:
        raise HTTPException(404, "no such transcript")
    work(0.05, 0.4)
    if transcript.grades == "?":
        raise ValueError(
            f"cannot parse /home/anna.miller/transcripts/{user_id}/{transcript_id}.pdf of {email_of(user_id)}"
        )
    track_feature(request, "transcript_view", {"count": len(transcript.grades.split(","))})
    return {"user_id": user_id, "transcript_id": transcript_id, "grades": transcript.grades}


@router.get("/forum/{thread_slug}", response_class=HTMLResponse)
def show_thread(request: Request, database: Database, thread_slug: str) -> str:
    """Show the latest posts of a thread."""
    newest = select(Post.text).where(Post.thread == thread_slug).order_by(Post.id.desc()).limit(20)
    posts = database.scalars(newest).all()
    if not posts:
        raise HTTPException(404, "no such thread")
    track_feature(request, "forum_read")
    return _PAGE.format(title=escape(thread_slug), body="".join(f"<p>{escape(text)}" for text in posts))


class NewPost(BaseModel):
    """What somebody wants to say."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]


@router.post("/forum/{thread_slug}/posts", status_code=201)
def add_post(
    request: Request, database: Database, user_id: CurrentUser, thread_slug: str, post: NewPost
) -> dict[str, int]:
    """Add a post to a thread."""
    if thread_slug not in THREADS:
        raise HTTPException(404, "no such thread")
    row = Post(thread=thread_slug, user_id=user_id, text=post.text)
    database.add(row)
    database.commit()
    track_feature(request, "forum_post", {"status": "completed"})
    return {"id": row.id}
