"""Commands that texts tell their readers to run, and what is wrong with them.

Nothing is run: a command's words are given to the parser of the module that it names.
"""

import argparse
import ast
import configparser
import contextlib
import functools
import importlib
import io
import pathlib
import re
import shlex
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

ROOT = pathlib.Path(__file__).parents[1]
MODULES_OF_OTHERS = ("tf2onnx",)
# What stands for something of the reader's own.
FOR_THE_READER = {
    "--config=C": "--config=train/configs/digits_glow.py",
    "--config=CONFIG": "--config=train/configs/digits_glow.py",
    "...": "--model=M --input=ROWS --output=O",
}
_BEGINNING = r"(?:python -m [\w.]+|make [a-z]|pytest [\w-]|bash \.|pip install )"
_IN_LINE = re.compile(rf"(?<![\w/-]){_BEGINNING}[^\n;|&]*")


class _Found(BaseException):
    """Carries a parser out of the `main` that made it."""


def of_page(text: str) -> list[str]:
    """Returns the commands of a Markdown text: in blocks, and between backquotes."""
    blocks = re.findall(r"```(?:bash|sh|yaml)\n(.*?)```", text, re.S)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    in_spans = [" ".join(span.split()) for span in spans]
    return [
        *(command for block in blocks for command in _of_block(block)),
        *(span for span in in_spans if re.match(_BEGINNING, span)),
    ]


def of_module(source: str) -> list[str]:
    """Returns the commands that stand on lines of their own in a module's docstring."""
    text = ast.get_docstring(ast.parse(source)) or ""
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    # What stands far to the right says what the command does.
    return [re.split(r"\s{2,}", s)[0] for s in lines if re.match(_BEGINNING, s)]


def bare_flags(text: str) -> list[str]:
    """Returns flags that stand between backquotes by themselves, without values."""
    spans = re.findall(
        r"`(--[^`\s]+)[^`]*`", re.sub(r"```.*?```", "", text, flags=re.S)
    )
    return [span.partition("=")[0] for span in spans]


def _of_block(block):
    for line in block.replace("\\\n", " ").splitlines():
        for found in _IN_LINE.findall(re.sub(r"(^|\s)#.*", "", line)):
            command = found.strip()
            # Of `bash -c '... command'` the quotation's end came with it.
            yield command[:-1] if command.count("'") % 2 else command


def mistake(command: str) -> str | None:
    """Returns what is wrong with a command in one line, None if nothing is."""
    for printed, instead in FOR_THE_READER.items():
        command = re.sub(rf"{re.escape(printed)}(?=\s|$)", instead, command)
    command = re.sub(r"(?<=\s)\[([^]]*)\]", r"\1", command)  # what may be left out
    words = shlex.split(command)
    judges = {"python": _of_python, "make": _of_make, "pip": _of_pip}
    return judges.get(words[0], _of_paths)(words)


def _of_python(words):
    name, arguments = words[2], words[3:]
    if name.split(".")[0] in MODULES_OF_OTHERS:
        return None
    name = name if _source(name).is_file() else f"{name}.__main__"
    if not _source(name).is_file():
        return f"there is no module {words[2]}"
    if not arguments:
        return None  # the module is spoken of
    if name == "train.__main__":
        return _of_train(arguments)
    arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    parser = parser_of(name)
    if parser is None:
        has_flags = any(word.startswith("-") for word in arguments)
        return f"{words[2]} takes no flags" if has_flags else None
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
            parser.parse_args(arguments)
    except ValueError as error:
        return str(error)
    except SystemExit as end:
        return errors.getvalue().strip() if end.code else None
    return None


def _source(module):
    return ROOT / f"{module.replace('.', '/')}.py"


@functools.cache
def parser_of(name: str) -> argparse.ArgumentParser | None:
    """Returns the parser that a module's `main` makes, None if it makes none."""
    if "ArgumentParser" not in _source(name).read_text():
        return None
    module = importlib.import_module(name)

    def leave(self, *unused, **unused_too):
        raise _Found(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name])
        patch.setattr(argparse.ArgumentParser, "parse_args", leave)
        try:
            module.main()
        except _Found as found:
            return found.args[0]
    raise AssertionError(f"main of {name} did not come to its parser")


def _of_train(arguments):
    from train import __main__ as job

    if {"--help", "--list"} & set(arguments):
        return None
    paths = [a.partition("=")[2] for a in arguments if a.startswith("--config=")]
    for path in paths:
        if not (ROOT / path).is_file():
            return f"there is no config file {path}"
    config = f"--config={ROOT / (paths or [job._DEFAULT])[0]}"
    others = [a for a in arguments if not a.startswith("--config=")]
    words = ["train", config, *others]
    parsed = flags.FLAGS.is_parsed()
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)  # where fields of a config are looked for
        try:
            rest = flags.FLAGS(words)
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if not parsed:
                flags.FLAGS.unparse_flags()
    return f"unknown argument {rest[1]}" if len(rest) > 1 else None


def _of_make(words):
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, re.M)
    for word in words[1:]:
        if word not in targets and not re.match(r"[A-Z]+=", word):
            return f"the Makefile has no {word}"
    return None


def _of_pip(words):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for word in words[2:]:
        of_ours = re.fullmatch(r"(?:\.|tfp_flows)\[(.*)\]", word)
        for extra in of_ours[1].split(",") if of_ours else ():
            if extra not in setup["options.extras_require"]:
                return f"setup.cfg has no extra {extra}"
    return None


def _of_paths(words):
    for word in words[1:]:
        if "/" in word and not (ROOT / word).exists():
            return f"there is no {word}"
    return None
