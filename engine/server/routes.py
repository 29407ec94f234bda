"""The route table, in one list."""

from engine.server import object_info, past, prompts, queue, socket, static, stats
from engine.server.access import Role
from engine.server.route import Route

BAD = {400: "The request does not fit; the answer says where."}

ROUTES: list[Route] = [
    Route("GET", "/ws", socket.websocket, answer="websocket"),
    Route("GET", "/prompt", prompts.get_prompt, answer=prompts.QueueLength),
    Route("POST", "/prompt", prompts.post_prompt, Role.USER, body=prompts.PromptBody, answer=prompts.PromptAnswer, refusals=BAD),
    Route("GET", "/queue", queue.get_queue, answer=queue.Queue),
    Route("POST", "/queue", queue.post_queue, Role.USER, body=queue.QueueChange, refusals=BAD),
    Route("POST", "/interrupt", queue.post_interrupt, Role.USER, body=queue.Interrupt, refusals=BAD),
    Route("POST", "/free", queue.post_free, Role.ADMIN, body=queue.Free, refusals=BAD),
    Route("GET", "/history", past.get_history, query=past.HistoryQuery, answer=dict[str, object], refusals=BAD),
    Route("GET", "/history/{prompt_id}", past.get_history_of, answer=dict[str, object]),
    Route("POST", "/history", past.post_history, Role.USER, body=past.HistoryChange, refusals=BAD),
    Route("GET", "/object_info", object_info.get_object_info, answer=dict[str, object]),
    Route("GET", "/object_info/{node_class}", object_info.get_object_info_of, answer=dict[str, object]),
    Route("GET", "/system_stats", stats.system_stats, answer=stats.SystemStats, early=True),
    Route("GET", "/features", stats.get_features, answer=dict[str, object], early=True),
    Route("GET", "/pages/{path:.+}", static.page, Role.ANYONE, answer="text/html", early=True, bare=True),
    Route("GET", "/", static.index, Role.ANYONE, answer="text/html", early=True, bare=True),
    Route("GET", "/{path:.+}", static.static, Role.ANYONE, answer="application/octet-stream", early=True, bare=True),
]
