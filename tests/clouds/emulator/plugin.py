"""A provider plugin that the engine loads instead of a cloud's: a test tool, which starts real servers on this machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from clouds.emulator.cloud import Cloud, ConflictError, HalfMadeError, Resource
from clouds.emulator.faults import FaultError
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine for one cloud."""

    def __init__(self, cloud: Cloud, version: str) -> None:
        self._cloud = cloud
        self._version = version

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_resources=True, accept_outputs=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        self._cloud.configure(_plain(request.args))
        # Without acceptSecrets the engine marks what comes back of secret inputs itself.
        return provider_pb2.ConfigureResponse(supportsPreview=True, acceptResources=True, acceptOutputs=True)

    def Check(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.news)
        failures = [
            provider_pb2.CheckFailure(property=key, reason=f"{key}: {reason}")
            for key, reason in self._cloud.problems(_token(request), inputs)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = _plain(request.old_inputs), _plain(request.news)
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)} - set(request.ignoreChanges)
        if not changed:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        replaces = sorted(changed & self._cloud.replaced(_token(request), old, new))
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=sorted(changed),
            replaces=replaces,
            # A name can be had once.
            deleteBeforeReplace=bool(replaces),
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(inputs))
        try:
            made = self._answer(context, _token(request), lambda: self._cloud.create(_token(request), inputs), creates=True)
        except HalfMadeError as half:
            detail = any_pb2.Any()
            detail.Pack(
                provider_pb2.ErrorResourceInitFailed(
                    id=half.resource.id, properties=_struct(half.resource.outputs), inputs=request.properties, reasons=[str(half)]
                )
            )
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(half), details=[detail])
            context.abort_with_status(rpc_status.to_status(status))
        return provider_pb2.CreateResponse(id=made.id, properties=_struct(made.outputs))

    def Read(self, request: Any, context: Any) -> Any:
        found = self._answer(context, _token(request), lambda: self._cloud.read(request.id))
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=found.id, properties=_struct(found.outputs), inputs=_struct(found.inputs))

    def Update(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.news)
        old = _plain(request.old_inputs)
        for key in request.ignoreChanges:
            inputs = {**{name: value for name, value in inputs.items() if name != key}, **({key: old[key]} if key in old else {})}
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct({**_plain(request.olds), **inputs}))
        changed = self._answer(context, _token(request), lambda: self._cloud.update(request.id, inputs))
        return provider_pb2.UpdateResponse(properties=_struct(changed.outputs))

    def Delete(self, request: Any, context: Any) -> Any:
        self._answer(context, _token(request), lambda: self._cloud.delete(request.id))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        found = self._answer(context, request.tok, lambda: self._cloud.invoke(request.tok, _plain(request.args)))
        return provider_pb2.InvokeResponse(**{"return": _struct(found)})

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _answer(self, context: Any, token: str, ask: Callable[[], Any], *, creates: bool = False) -> Any:
        try:
            self._cloud.faults.meet(token, creates=creates)
            return ask()
        except (ConflictError, FaultError) as refused:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refused))


def _token(request: Any) -> str:
    return str(request.urn).split("::")[2].rpartition("$")[2]


def _plain(struct: Any) -> dict[str, Any]:
    """Values as the engine sends them; what is not known yet is None."""
    return {key: _value(value) for key, value in json_format.MessageToDict(struct).items()}


def _value(value: Any) -> Any:
    if value == _UNKNOWN:
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if isinstance(value, list) else value


def _struct(values: dict[str, Any]) -> Any:
    struct = struct_pb2.Struct()
    # Unknown values come back as such.
    struct.update({key: _UNKNOWN if value is None else value for key, value in values.items()})
    return struct


def serve(cloud: Cloud, version: str) -> None:
    """Serves until the engine ends it."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(cloud, version), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


__all__ = ["Resource", "serve"]
