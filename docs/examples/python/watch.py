"""Lists the loops of a daemon, and follows what happens until a plan is over.

usage: watch.py SOCKET [PLAN]
"""

import json
import sys

import grpc
from taskd.v1 import taskd_pb2 as api
from taskd.v1 import taskd_pb2_grpc as rpc


def told(error):
    """What the daemon says of an error, for people."""
    trailers = dict(error.trailing_metadata() or ())
    info = api.ErrorInfo.FromString(trailers.get("taskd-error-bin", b""))
    return f"{info.code}: {info.message}\n{info.hint}" if info.code else str(error.details())


def main(socket, plan=None):
    # Without this the path of the socket is sent as the name of a host, which it is none of.
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix://{socket}", options=options) as channel:
        daemon = rpc.TaskdStub(channel)
        for item in daemon.Watch(api.WatchRequest(ids=[plan] if plan else [])):
            what = item.WhichOneof("item")
            if what == "view":
                for loop in item.view.loops:
                    print(f"{loop.name:<20} {loop.title}")
                if any(f"p{it.id}" == plan and it.HasField("ended_at") for it in item.view.plans):
                    print(f"{plan} is over")
                    return
            elif what == "event":
                event = json.loads(item.event.json)
                print(f"{event['seq']:>6}  {event['kind']}", flush=True)
                if plan and event["kind"] == "plan_ended":
                    print(f"{plan} is over")
                    return


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except grpc.RpcError as error:
        sys.exit(told(error))
