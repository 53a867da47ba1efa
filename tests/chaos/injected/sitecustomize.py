"""Read by every Python process that a scenario starts: it waits at some moments for what shall happen there.

`CHAOS` in the environment says where (module, function, which call, before or after it) and whom to ask (a socket of
the scenario). What it answers is done in this process: go on, die, lose what was not flushed, ...
"""

import json
import os

_asked = os.environ.get("CHAOS")
if _asked:
    from chaos_moment import arm

    arm(**json.loads(_asked))
