"""The statements of a notebook that a name needs: those that bind it, and those that bind what they use."""

import ast
import dis
import types
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}  # how code reads a name of the notebook


@dataclass(frozen=True)
class Statement:
    """A statement of a cell: the names that it binds, those that it changes or uses, and its place."""

    node: ast.stmt
    file: str
    binds: frozenset
    changes: frozenset
    uses: frozenset


@dataclass(frozen=True)
class Program:
    """A notebook's statements in order; broken holds the code of each cell that Python cannot read, and why not."""

    statements: tuple[Statement, ...]
    sources: dict[str, str]  # {file name of a cell: its code}
    broken: tuple[tuple[str, str], ...]

    def needed(self, name):
        """The statements that `name` needs, in order."""
        imports = (s.binds for s in self.statements if isinstance(s.node, ast.Import | ast.ImportFrom))
        modules = frozenset().union(*imports)  # plt.show() changes nothing that a function needs
        touches = [s.binds | (s.changes - modules) for s in self.statements]
        wanted, chosen = {name, "*"}, set()
        while more := {i for i, names in enumerate(touches) if i not in chosen and names & wanted}:
            chosen |= more
            wanted |= {used for i in more for used in self.statements[i].uses}
        return [self.statements[i] for i in sorted(chosen)]


def program_of(cells):
    """The Program of code cells, given as their texts; IPython's magics are allowed."""
    statements, sources, broken = [], {}, []
    for number, cell in enumerate(cells, start=1):
        file = f"<code cell {number}>"
        try:
            source = TransformerManager().transform_cell(cell)
            parsed = [_statement(node, file) for node in ast.parse(source, file).body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # what compile raises
            line = f" `{error.text.strip()}`" if getattr(error, "text", None) else ""
            where = f"line {error.lineno} of this cell,{line}" if getattr(error, "lineno", None) else "this cell"
            broken.append((cell, f"Python cannot read {where}: {getattr(error, 'msg', error)}"))
            continue
        sources[file] = source
        statements += parsed
    return Program(tuple(statements), sources, tuple(broken))


def _statement(node, file):
    code = compile(ast.Module([node], []), file, "exec")
    binds = {step.argval for step in dis.get_instructions(code) if step.opname == "STORE_NAME"}
    uses = set()
    for step in _instructions(code):
        if step.opname == "STORE_GLOBAL":
            binds.add(step.argval)
        elif step.opname in LOADS:
            uses.add(step.argval)
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        binds.add("*")
    return Statement(node, file, frozenset(binds), frozenset(_changes(node)), frozenset(uses))


def _instructions(code):
    """Every instruction of a code object and of those within it: functions, classes and comprehensions."""
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)


def _changes(node):
    """The names that a statement changes without binding them: `x[0] = 1`, and `x.append(1)` on a line of its own."""
    stored = (n for n in ast.walk(node) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store | ast.Del))
    names = {_base(target) for target in stored}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        names.add(_base(node.value.func))
    return names - {None}


def _base(node):
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
