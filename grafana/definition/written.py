"""YAML, as far as rules need it: mappings, lists, text, numbers. Text is folded, so that long expressions can be read."""


def yaml(value, indent=0):
    """The text of a value, ending in a newline."""
    return "\n".join(_lines(value, indent)) + "\n"


def _lines(value, indent):
    pad = " " * indent
    if isinstance(value, dict):
        for key, inner in value.items():
            if _plain(inner):
                yield f"{pad}{key}: {_scalar(inner)}"
            elif isinstance(inner, str):
                yield f"{pad}{key}: >-"
                yield from (f"{pad}  {line}" for line in _folded(inner, 130 - indent))
            else:
                yield f"{pad}{key}:"
                yield from _lines(inner, indent + 2)
    else:
        for inner in value:
            if _plain(inner):
                yield f"{pad}- {_scalar(inner)}"
                continue
            first, *rest = _lines(inner, indent + 2)
            yield f"{pad}- {first[indent + 2:]}"
            yield from rest


def _plain(value):
    return not isinstance(value, (dict, list, str)) or value in ([], {}) or (isinstance(value, str) and len(value) < 80)


def _scalar(value):
    if value in ([], {}):
        return "[]" if value == [] else "{}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if value and all(c.isalnum() or c in "_-" for c in value) and not value[0].isdigit() and value not in ("true", "false", "null", "yes", "no", "on", "off"):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folded(text, width):
    """Lines that a folded scalar joins by one space again."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line
