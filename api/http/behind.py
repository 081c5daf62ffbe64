"""What routes are about, which exists only when the service has started."""

from __future__ import annotations

from typing import Protocol

from api.call import Call
from api.generation.generator import Generator
from api.http.given import ShapeReader
from api.jobs.service import Jobs
from api.messages import Recognised, Status
from models.presets import Network


class Readiness(Protocol):
    """Who says what can be served now; each raises what is in the way."""

    def check_default(self) -> None:
        """Lets pass what needs every model."""

    def check_model(self, model: str) -> None:
        """Lets pass what needs one model."""

    def status(self) -> Status:
        """The Sampler's status as it is known now."""

    async def recognise(self, prompt: str, call: Call) -> Recognised:
        """What is known of a prompt."""

    async def opened(self) -> None:
        """Lets pass what needs the models."""

    def check_known(self, model: str) -> None:
        """Lets pass the name of a model that there is."""

    def check_network(self, network: Network) -> None:
        """Lets pass what needs these denoisers."""


class Behind:
    """Set before the first request.

    Attributes:
        readiness: Says what can be served now.
        generator: Makes shapes.
        jobs: The jobs of this process.
        shapes: Reads the shapes of requests; there from the start.
    """

    readiness: Readiness
    generator: Generator
    jobs: Jobs

    def __init__(self) -> None:
        self.shapes = ShapeReader()
