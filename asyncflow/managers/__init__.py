"""The resource managers that come with asyncflow: limit, command, http-service, workflow-server.

They see of asyncflow what a third party's see: `plugins`, `model`, `errors`, `ids`. `plugins/registry` lists
them; start with `limit`, which is the shortest.
"""
