"""An HTTP session that keeps how its last request ended, for one who is only given a yes or no."""

import re
from typing import Any

import requests

__all__ = ["WatchedSession"]

#: Answers after which the same export may succeed later (OTLP specification, "Retryable Response
#: Codes"); all others refuse it.
_RETRYABLE = frozenset((429, 502, 503, 504))
_ERRNO = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
_MOST_CHARACTERS = 200


class WatchedSession(requests.Session):
    """As requests.Session. `body`: of the last answer, empty if there was none. `failure`: why the
    request failed, in words; empty if it did not. `may_succeed_later`: of one that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b""
        self.may_succeed_later = True
        self.failure = ""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Sends a request, and keeps the answer or the error. A redirection is not followed: the
        request would become a GET without a body, and any page an answer that all was taken."""
        self.body, self.may_succeed_later = b"", True
        try:
            response = super().request(*args, **{**kwargs, "allow_redirects": False})
        except requests.RequestException as error:
            self.failure = _describe_error(error)
            raise
        if response.is_redirect:
            target = response.headers["Location"]
            self.failure = f"status {response.status_code}: it is redirected to {_shorten(target)}"
            self.may_succeed_later = False
            raise requests.TooManyRedirects(self.failure, response=response)
        self.body = response.content
        self.failure = "" if response.ok else _describe_answer(response)
        self.may_succeed_later = response.ok or response.status_code in _RETRYABLE
        return response


def _describe_error(error: requests.RequestException) -> str:
    if isinstance(error, requests.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    text = str(error)
    if match := _ERRNO.search(text):
        return match[1].strip().lower()
    return _shorten(text)


def _describe_answer(response: requests.Response) -> str:
    """The status, and what a server says in text: OTLP's own errors are protobuf."""
    kind = response.headers.get("Content-Type", "")
    text = _shorten(response.text) if kind.startswith("text/") else ""
    return f"status {response.status_code} {response.reason}{': ' if text else ''}{text}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…"
