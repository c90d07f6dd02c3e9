"""The reader's file: read, run, and what each step in it stands on."""

import ast
import importlib.util
import linecache
import symtable
import sys
import traceback
from pathlib import Path

from course_lib.exercises.verdict import message

EMPTY = Path(__file__).with_name("empty.py")
NAME = "readers_file"  # the module's, whatever the file is called


class Unreadable(ValueError):
    """The file cannot be run; the message is one line."""


def new(path) -> None:
    """Write the empty file. Raises FileExistsError rather than write over
    anything."""
    text = EMPTY.read_text(encoding="utf-8").replace(
        "my_gpt.py", Path(path).name).replace("  # noqa: F401", "")
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise FileExistsError(f"{path} exists: choose another name, or go "
                              f"on with `course check {path}`") from None


class ReadersFile:
    """A file that was run: `objects` by name, `nodes` of its syntax tree,
    and the global names that each `needs`."""

    def __init__(self, path):
        self.path = Path(path)
        self.nodes = {node.name: node for node in parsed(self.path).body
                      if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        tables = symtable.symtable(self.path.read_text(encoding="utf-8"),
                                   str(path), "exec").get_children()
        self.needs = {table.get_name(): needed(table, self.nodes[
            table.get_name()]) for table in tables
            if table.get_name() in self.nodes}
        self.objects = vars(run(self.path))

    def find(self, names: tuple[str, ...]):
        """What a step is called here: the first of its names that is begun,
        or None."""
        return next((name for name in names if name in self.objects and (
            name not in self.nodes or begun(self.nodes[name]))), None)

    def uses(self, name: str) -> set[str]:
        """The global names that a function or class needs, also through
        others of the file."""
        found, left = set(), [name]
        while left:
            new = self.needs.get(left.pop(), set()) - found
            found |= new
            left += new
        return found - {name}


def needed(table, node) -> set[str]:
    """Global names in a function's or class's table of symbols, and the
    class's bases."""
    names = {symbol.get_name() for symbol in table.get_symbols()
             if symbol.is_global() and symbol.is_referenced()}
    names |= {each.id for base in getattr(node, "bases", ())
              for each in ast.walk(base) if isinstance(each, ast.Name)}
    return names.union(*(needed(child, None)
                         for child in table.get_children()))


def parsed(path: Path) -> ast.Module:
    """The syntax tree. Raises Unreadable, or OSError."""
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise Unreadable(f"{path}, line {error.lineno}: {error.msg}: "
                         f"{(error.text or '').strip()}") from None
    except ValueError as error:  # null bytes
        raise Unreadable(f"{path} is no Python file: {error}") from None


def run(path: Path):
    """The file as a module. Raises Unreadable where it raises anything."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    if spec is None:
        raise Unreadable(f"{path} is no Python file: its name must end in "
                         ".py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module  # so that a class knows where it is from
    linecache.checkcache(str(path))
    if (folder := str(path.resolve().parent)) not in sys.path:
        sys.path.append(folder)  # last, so that nothing is hidden by it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit, KeyboardInterrupt,
            BaseExceptionGroup) as error:
        frames = [frame for frame in traceback.extract_tb(
            error.__traceback__) if frame.filename == str(path)]
        line = f", line {frames[-1].lineno}" if frames else ""
        raise Unreadable(f"{path}{line}: {type(error).__name__}: "
                         f"{message(error)}") from None
    return module


def begun(node) -> bool:
    """Whether there is more in a function or class than its docstring."""
    return any(not _empty(each) for each in node.body)


def _empty(node) -> bool:
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return getattr(raised, "id", "") == "NotImplementedError"
    if isinstance(node, ast.FunctionDef):  # a method
        return not begun(node)
    return isinstance(node, ast.Pass) or isinstance(
        node, ast.Expr) and isinstance(node.value, ast.Constant)
