"""The blocks of a page, their commands, and the expected output."""

import re
from dataclasses import dataclass, field

COMMENT = re.compile(r"\s*<!-- (.*) -->\s*")
HEADING = re.compile(r"#+ ")
HEREDOC = re.compile(r"<<'?(\w+)'?")


@dataclass
class Command:
    """A command, and its expected output; None if the page shows none."""

    text: str
    expected: list = None


@dataclass
class Block:
    """A fenced block, with the comments directly before it."""

    line: int
    language: str
    markers: list
    section: int
    text: str = ""
    commands: list = field(default_factory=list)


def blocks_of(path):
    blocks, markers, block, indent, section = [], [], None, 0, 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        bare = line.lstrip()
        if block is not None:
            if line.strip() == "```":
                block.commands = commands_of(block.text) if block.language == "console" else []
                blocks.append(block)
                block = None
            else:
                block.text += line[indent:] + "\n"
        elif bare.startswith("```"):
            indent = len(line) - len(bare)
            block = Block(number, bare.removeprefix("```").strip(), markers, section)
            markers = []
        elif HEADING.match(line):
            markers, section = [], section + 1
        elif comment := COMMENT.fullmatch(line):
            markers.append(comment[1])
        elif bare:
            markers = []
    return blocks


def commands_of(text):
    commands, ends = [], None
    going_on = False
    for line in text.splitlines():
        if going_on:
            commands[-1].text += "\n" + line
        elif line.startswith("$ "):
            # The shell ignores the trailing comment.
            commands.append(Command(line.removeprefix("$ ")))
        elif commands:
            commands[-1].expected = [*(commands[-1].expected or []), line]
            continue
        if ends is not None:
            going_on = line != ends
            ends = ends if going_on else None
        elif heredoc := HEREDOC.search(line):
            ends, going_on = heredoc[1], True
        else:
            going_on = line.endswith("\\")
    return commands


def differs(command, said):
    """Compares the output; a line `...` matches any lines, `...` in a line any text."""
    pattern = ""
    for line in command.expected:
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\s*?\n"
    said = said.rstrip("\n") + "\n"
    if re.fullmatch(pattern, said):
        return []
    expected = "\n".join(command.expected)
    return [f"$ {command.text}\nshould have printed\n{expected}\nand printed\n{said}"]
