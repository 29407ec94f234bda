"""A pack that meets a server: its routes, messages, prompts, queue and editor."""

from aiohttp import web
from server import PromptServer


@PromptServer.instance.routes.get("/visitor/hello/{name}")
async def hello(request):
    return web.json_response({"hello": request.match_info["name"]})


@PromptServer.instance.routes.post("/visitor/echo")
async def echo(request):
    return web.json_response(await request.json())


def louder(body):
    for node in body["prompt"].values():
        if node["class_type"] == "Visitor Look":
            node["inputs"]["word"] = node["inputs"]["word"].upper()
    return body


PromptServer.instance.add_on_prompt_handler(louder)


class Look:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"word": ("STRING", {"default": ""})}, "hidden": {"id": "UNIQUE_ID"}}

    RETURN_TYPES = ()
    FUNCTION = "look"
    OUTPUT_NODE = True
    CATEGORY = "visitor"

    def look(self, word, id):
        queue = PromptServer.instance.prompt_queue
        running, waiting = queue.get_current_queue()
        PromptServer.instance.send_sync("visitor.seen", {"node": id, "word": word}, PromptServer.instance.client_id)
        PromptServer.instance.send_progress_text("looking", id)
        before = list(queue.get_history(max_items=10))
        if word == "ALONE":
            queue.delete_queue_item(lambda item: item[2]["1"]["inputs"]["word"] == "UNWANTED")
        return {"ui": {"running": [item[1] for item in running], "waiting": [item[1] for item in waiting], "before": before,
                       "word": [word]}}  # fmt: skip


class Wait:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seconds": ("FLOAT", {"default": 1.0})}}

    RETURN_TYPES = ()
    FUNCTION = "wait"
    OUTPUT_NODE = True
    CATEGORY = "visitor"

    async def wait(self, seconds):
        import asyncio

        await asyncio.sleep(seconds)
        return {}


class Put:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"word": ("STRING", {"default": ""}), "kind": ("STRING", {"default": "Visitor Look"}),
                             "id": ("STRING", {"default": ""}), "number": ("INT", {"default": 0, "min": -9})}}  # fmt: skip

    RETURN_TYPES = ()
    FUNCTION = "put"
    OUTPUT_NODE = True
    CATEGORY = "visitor"

    def put(self, word, kind, id, number):
        prompt = {"1": {"class_type": kind, "inputs": {"word": word}}}
        extra = {"client_id": PromptServer.instance.client_id, "auth_token_comfy_org": "secret"}
        *before, last = id.split(",")
        for one in before:
            PromptServer.instance.prompt_queue.put((0, one, prompt, extra, ["1"]))
        PromptServer.instance.prompt_queue.put((number, last, prompt, extra, ["1"]))
        return {}


NODE_CLASS_MAPPINGS = {"Visitor Put": Put, "Visitor Look": Look, "Visitor Wait": Wait}
