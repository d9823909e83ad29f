"""A graph of ONNX operators as it is put together: nodes, constants and names. What builds on it knows no protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

MAIN_OPSET: Final = 18
OUTPUT: Final = "prediction"
_IR_VERSION: Final = 10  # runtimes from 2024 on read it
_ML_DOMAIN: Final = "ai.onnx.ml"
ELEMENT_TYPES: Final[Mapping[str, int]] = {
    "double": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}


class NotExpressible(Exception):
    """Something cannot be said in ONNX so that it gives the same numbers; the message says what and why."""


@dataclass(slots=True)
class Graph:
    """Nodes in the order in which they are computed.

    Attributes:
        ml_opset: of the operators of classical learners.
        inputs: name -> element type; each has the shape (rows, 1).
        words: name of an input, `prediction`, or "" for the whole model -> what the file says of it.
    """

    ml_opset: int = 3
    inputs: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    _nodes: list[Any] = field(default_factory=list)
    _constants: list[Any] = field(default_factory=list)
    _domains: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def input(self, name: str, element_type: str) -> str:
        """A column that is fed by its name."""
        self.inputs[name] = element_type
        return name

    def constant(self, value: Any) -> str:
        """An array that the file holds."""
        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of ONNX; returns the name of its output."""
        return self._add(kind, inputs, attributes, "")

    def ml_op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of ONNX's own part for classical learners."""
        return self._add(kind, inputs, attributes, _ML_DOMAIN)

    def cast(self, value: str, element_type: int) -> str:
        """The value with another element type."""
        return self.op("Cast", value, to=element_type)

    def take_in(self, model: Any, value: str, prefix: str) -> list[str]:
        """Put the nodes of another model, which has one input, behind `value`; returns the names of its outputs."""
        named = compose.add_prefix(model, prefix).graph
        self._nodes.append(helper.make_node("Identity", [value], [named.input[0].name]))
        self._nodes.extend(named.node)
        self._constants.extend(named.initializer)
        self._domains |= {one.domain: one.version for one in model.opset_import if one.domain not in {"", _ML_DOMAIN}}
        return [one.name for one in named.output]

    def finish(self, output: str, width: int, facts: Mapping[str, str]) -> bytes:
        """The file of the model.

        Args:
            output: the name of the values to give out, as `prediction`: double, of shape (rows, width).
            width: how many columns it has.
            facts: what else the file says, as its metadata.
        """
        self._nodes.append(helper.make_node("Identity", [output], [OUTPUT]))
        given = [
            helper.make_tensor_value_info(name, ELEMENT_TYPES[kind], ["rows", 1], self.words.get(name, ""))
            for name, kind in self.inputs.items()
        ]
        words = self.words.get(OUTPUT, "") if OUTPUT not in self.inputs else ""
        taken = helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["rows", width], words)
        graph = helper.make_graph(self._nodes, "raysweep", given, [taken], self._constants)
        domains = {"": MAIN_OPSET, _ML_DOMAIN: self.ml_opset, **self._domains}
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            producer_name="raysweep",
            ir_version=_IR_VERSION,
            doc_string=self.words.get("", ""),
        )
        helper.set_model_props(model, dict(facts))
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _add(self, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any], domain: str) -> str:
        output = self._name(kind)
        self._nodes.append(helper.make_node(kind, list(inputs), [output], domain=domain, **attributes))
        return output

    def _name(self, kind: str) -> str:
        self._count += 1
        return (
            f"raysweep/{self._count}/{kind}"  # no column's name, unless somebody means harm; then the checker refuses
        )
