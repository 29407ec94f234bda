"""The engine: graphs, execution, caching, jobs, diffusion and the server."""
