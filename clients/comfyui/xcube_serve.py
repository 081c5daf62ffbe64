"""ComfyUI node: a prompt becomes a file of a 3-D shape, made by a running xcube-serve.

Put this file into ComfyUI's folder custom_nodes. The node is called xcube-serve, in the category 3d. It writes into
ComfyUI's output folder; connect `model_file` with the node Preview 3D. If the service has a key, set the environment
variable XCUBE_API_KEY: what is typed into a node is saved with each picture.
"""

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

import folder_paths

SECONDS = 300
FORMATS = (
    "glb",
    "glb-blocks",
    "glb-points",
    "usdz",
    "obj",
    "stl",
    "3mf",
    "ply",
    "vox",
    "schem",
    "litematic",
    "nbt",
    "csm",
    "bcf",
)
PRESETS = ("none", "draft", "standard", "best", "turbo")
HERE = ("localhost", "127.0.0.1", "::1")


class XcubeServe:
    """One shape in one format. The same inputs give the same file, so ComfyUI need not ask twice."""

    CATEGORY = "3d"
    DESCRIPTION = "Asks xcube-serve for a shape of voxels and saves it as a file."
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("model_file", "path")
    FUNCTION = "generate"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802  ComfyUI calls it so
        """The widgets of the node."""
        return {
            "required": {
                "prompt": ("STRING", {"default": "a round table", "multiline": True}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}),
                "steps": ("INT", {"default": 100, "min": 1, "max": 1000}),
                "guidance": ("FLOAT", {"default": 7.5, "min": 1.0, "max": 20.0, "step": 0.1}),
                "fine": ("BOOLEAN", {"default": True}),
                "format": (list(FORMATS), {"default": "glb"}),
            },
            "optional": {
                "preset": (list(PRESETS), {"default": "none", "tooltip": "chooses the steps instead"}),
                "url": ("STRING", {"default": os.environ.get("XCUBE_URL", "http://localhost:8000")}),
            },
        }

    def generate(
        self, prompt, seed, steps, guidance, fine, format, preset="none", url="http://localhost:8000"
    ):  # fmt: skip
        """Saves the file; gives its path within the output folder, for Preview 3D, and its whole path.

        Raises:
            RuntimeError: there is no file; ComfyUI shows the text, which says what is wrong and what to do.
        """
        fields = {"prompt": prompt, "seed": seed, "guidance_scale": guidance, "use_fine": fine}
        fields |= {"ddim_steps": steps} if preset == "none" else {"preset": preset}
        content = fetch(url.rstrip("/"), format, fields)
        words = re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:40] or "shape"
        suffix, _, kind = format.partition("-")
        name = "-".join(filter(None, [words, str(seed), kind])) + f".{suffix}"
        folder = os.path.join(folder_paths.get_output_directory(), "xcube")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(content)
        shown = {"filename": name, "subfolder": "xcube", "type": "output"}
        return {"ui": {"3d": [shown]}, "result": (f"xcube/{name}", path)}


def fetch(url, format, fields):
    """The file of a shape.

    Raises:
        RuntimeError: the service does not answer, or refuses.
    """
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("XCUBE_API_KEY", ""):
        headers["Authorization"] = f"Bearer {key.strip()}"
    try:
        request = urllib.request.Request(f"{url}/generate?format={format}", json.dumps(fields).encode(), headers)
        # Proxies that the environment names are for other machines than this one.
        here = urllib.parse.urlsplit(url).hostname in HERE
        opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(sentence(error)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise RuntimeError(f"{url} does not answer: start the service, or change the address ({error})") from None


def sentence(error):
    """What the service says, or that something else has answered."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} does not come from the service: check the address"


NODE_CLASS_MAPPINGS = {"XcubeServe": XcubeServe}
NODE_DISPLAY_NAME_MAPPINGS = {"XcubeServe": "xcube-serve"}
