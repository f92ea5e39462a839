"""The component provider: the components as a Pulumi package that programs in any language can use.

Pulumi's own host loses three things, which are put back here: the descriptions of inherited arguments, what the component
itself says about wrong arguments, and arguments that there are not (it drops them silently).
"""

import ast
import asyncio
import importlib
import importlib.metadata
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import pulumi
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.analyzer import ComponentDefinition, PropertyDefinition, PropertyType
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

NAME = "caches"
# By the module of their platform, whose SDK is an extra of the package.
_PLATFORMS = {
    "kubernetes": [
        "RedisStatefulSet",
        "SentinelGroup",
        "RedisClusterWithInit",
        "MemcachedShards",
        "RedisOperatorCluster",
        "RedisOperatorChart",
        "CacheBackup",
        "CacheMonitoring",
        "CacheWarmup",
    ],
    "azure": ["AzureManagedRedis", "AzureCacheForRedis", "AzureNetwork"],
    "aws": ["ElastiCache", "AwsNetwork"],
    "gcp": ["Memorystore", "GcpNetwork"],
}


def _installed() -> Iterator[type[pulumi.ComponentResource]]:
    """The components of every platform whose SDK is there."""
    for platform, names in _PLATFORMS.items():
        try:
            module = importlib.import_module(f"pulumi_caches.{platform}")
        except ModuleNotFoundError as missing:
            if not (missing.name or "").startswith("pulumi_") or str(missing.name).startswith("pulumi_caches"):
                raise
            continue
        yield from (getattr(module, name) for name in names)


COMPONENTS = list(_installed())


class CachesProvider(ComponentProvider):
    """Serves components; their arguments and outputs are in camelCase here, in messages and descriptions too."""

    def __init__(self, components: list[type[pulumi.ComponentResource]]) -> None:
        super().__init__(components, NAME, version=importlib.metadata.version("pulumi-caches"))
        self.schema = json.dumps(self._described(json.loads(self.schema or "")))

    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Makes a component. What it refuses becomes an error of the request, because all else is shown with a stack trace."""
        names = self._component_defs[resource_type.rpartition(":")[2]].inputs_mapping
        try:
            made = super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            raise _as_refusal(error.inner, names) from error
        return ConstructResult(pulumi.Output.from_input(_urn_of_finished(made, names)), made.state)

    def map_inputs(self, inputs: pulumi.Inputs, component_def: ComponentDefinition) -> pulumi.Inputs:
        """Takes arguments over under their Python names; values are left for the component to check, which says more."""
        unchecked = {key: self._unchecked(argument) for key, argument in component_def.inputs.items()}
        # Every number arrives as a float.
        given = {key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in inputs.items()}
        given |= {
            key: self._struct(value, argument, key)
            for key, argument in component_def.inputs.items()
            if isinstance(value := given.get(key), pulumi.Output | dict) and argument.ref
        }
        mapped = super().map_inputs(given, replace(component_def, inputs=unchecked))
        return {**mapped, **{key: value for key, value in given.items() if key not in unchecked}}

    def _unchecked(self, argument: PropertyDefinition) -> PropertyDefinition:
        return replace(argument, type=None, ref=None) if argument.ref or argument.type is PropertyType.INTEGER else argument

    def _struct(self, value: Any, argument: PropertyDefinition, key: str) -> Any:
        """A value with the Python names of its fields, such as a connection, which may only become known later."""
        definition = self.get_type_definition(argument)
        if definition is None or definition.enum:
            return value
        if isinstance(value, pulumi.Output):
            return value.apply(lambda known: self._struct(known, argument, key))
        return self.map_input_properties(value, definition.properties, definition.properties_mapping, definition.name, key)

    def _described(self, schema: dict[str, Any]) -> dict[str, Any]:
        for name, component in self._components.items():
            definition = self._component_defs[name]
            resource = schema["resources"][f"{NAME}:index:{name}"]
            resource["description"] = inspect.cleandoc(component.__doc__ or "")
            arguments = inspect.get_annotations(component.__init__)["args"]
            self._describe(resource["inputProperties"], arguments, definition.inputs_mapping)
            self._describe(resource["properties"], component, definition.outputs_mapping)
        for type_definition in self._type_defs.values():
            properties = schema["types"][f"{NAME}:index:{type_definition.name}"].get("properties") or {}
            self._describe(properties, type_definition.python_type, type_definition.properties_mapping)
        return schema

    def _describe(self, properties: dict[str, Any], owner: type, names: Mapping[str, str]) -> None:
        for key, property_ in properties.items():
            found = (self.analyzer.get_docstring(declaring, names[key]) for declaring in _with_bases(owner))
            property_["description"] = _camel_case(next(filter(None, found), ""), names)


async def _urn_of_finished(made: ConstructResult, names: Mapping[str, str]) -> str:
    """The component's URN once its outputs are there, because some arguments are only refused when their values arrive."""
    try:
        await asyncio.gather(*(pulumi.Output.from_input(output).future() for output in made.state.values()))
    except Exception as error:
        raise _as_refusal(error, names) from error
    return cast(str, await pulumi.Output.from_input(made.urn).future())


def _as_refusal(error: BaseException, names: Mapping[str, str]) -> BaseException:
    """The error of the request that says what a component refused, somewhere among the causes; else the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, pulumi.RunError):
            # The empty list: without one, answering the request fails.
            return pulumi.InputPropertiesError(_camel_case(str(cause), names), [])
        cause = cause.__cause__
    return error


def _with_bases(owner: type) -> Iterator[type]:
    """A class and its bases. A TypedDict does not remember them at run time, only its source does."""
    yield owner
    definition = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0])
    for base in definition.bases:
        found = getattr(sys.modules[owner.__module__], ast.unparse(base), None)
        if isinstance(found, type):
            yield from _with_bases(found)


def _camel_case(text: str, names: Mapping[str, str]) -> str:
    """A text with the Python names of arguments, given by their names in the schema, in the schema's way."""
    for key, name in names.items():
        if key != name:
            text = re.sub(rf"\b{name}\b", key, text)
    return text
