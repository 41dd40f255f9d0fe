"""EventBus as grpcio sees it, from the descriptors of the build, so that no generated code is needed.

    with Bus(daemon) as bus:
        bus.Publish(bus.request("PublishRequest", events=[…]), timeout=5)
"""

import os

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "jimbot.v1.EventBus"


def load_pool(path=None):
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    with open(path or os.environ["DESCRIPTORS"], "rb") as f:
        files.ParseFromString(f.read())
    for file in files.file:
        pool.Add(file)
    return pool


POOL = load_pool()


def message_class(name):
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def make(name, **fields):
    return message_class("jimbot.v1." + name)(**fields)


class Bus:
    """A channel, with each method of the service as an attribute."""

    def __init__(self, target, options=(), compression=None, credentials=None):
        if credentials:
            self.channel = grpc.secure_channel(target, credentials, list(options), compression)
        else:
            self.channel = grpc.insecure_channel(target, list(options), compression)
        for method in POOL.FindServiceByName(SERVICE).methods:
            setattr(self, method.name, self.stub(method))

    def stub(self, method):
        streams = method.client_streaming, method.server_streaming
        maker = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, False): self.channel.stream_unary,
            (True, True): self.channel.stream_stream,
        }[streams]
        return maker(
            "/%s/%s" % (SERVICE, method.name),
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.channel.close()


def event(n=0, event_id=None, text=""):
    """An OutgoingEvent: money that changed by n, or a custom event with a text."""
    Event = message_class("jimbot.v1.Event")
    e = Event(source="test")
    e.type = Event.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name["EVENT_TYPE_MONEY_CHANGED"].number
    e.money_changed.new_value = n
    if event_id:
        e.event_id = event_id
    if text:
        e.source = text
    return make("OutgoingEvent", event=e)


def publish(bus, *events, **fields):
    timeout = fields.pop("timeout", 10)
    return bus.Publish(make("PublishRequest", events=events, **fields), timeout=timeout)
