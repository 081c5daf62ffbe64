"""Two shapes at a time with BentoML's asynchronous client, and the progress of a third one."""

import asyncio
import os

import bentoml

URL = os.environ.get("XCUBE_URL", "http://localhost:8000")


async def main() -> None:
    async with bentoml.AsyncHTTPClient(URL, timeout=300) as client:
        async with asyncio.timeout(300):  # for both together; `timeout` above is for each
            shapes = await asyncio.gather(
                client.generate(prompt="a round table", seed=7),
                client.generate(prompt="a tall chair", seed=7, use_fine=False),
            )
        for shape in shapes:
            print(len(shape["coarse_xyz"]), "coarse points, fine stage:", shape["fine_xyz"] is not None)

        text = ""
        async for piece in client.generate_stream(prompt="a tree", ddim_steps=20, seed=7):
            *events, text = (text + piece).split("\n\n")
            for event in events:
                name, _, data = event.partition("\n")
                if name == "event: progress":
                    print(data.removeprefix("data: "))


asyncio.run(main())
