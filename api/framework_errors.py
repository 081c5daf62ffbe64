"""Errors that the framework answers by itself, held back until they are whole so that they can be said in our form."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

from api.call import Message
from api.errors import is_problem, problem_of_status


class FrameworkError:
    """An answer with a status of 400 or above, put together from the ASGI messages that it is sent in.

    status: 0 until such an answer begins. headers: to be changed in place. whole: whether its body is there.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers = MutableHeaders()
        self.whole = False
        self._body = bytearray()

    def takes(self, message: Message) -> bool:
        """Keeps a message that belongs to an error; False for one of another answer."""
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self.status, self.headers = message["status"], MutableHeaders(raw=message["headers"])
        elif not self.status:
            return False
        else:
            self._body += message.get("body", b"")
            self.whole = not message.get("more_body", False)
        return True

    def problem_body(self, path: str, prefix: str = "", guide: str = "/docs") -> bytes:
        """Its body in the form of `api.errors`; the arguments are those of `problem_of_status`."""
        body = bytes(self._body)
        return body if is_problem(body) else problem_of_status(self.status, path, prefix, guide).body()
