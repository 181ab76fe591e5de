"""Colours and fonts of the diagrams, for light and for dark pages."""

FONTS = "Helvetica,Arial,'Liberation Sans',sans-serif"
"""All of the same width: a picture in a page loads no font, and a reader's machine has one of these."""

LIGHT = {
    "paper": "#ffffff", "ink": "#1f2328", "line": "#59636e", "outside": "#eef0f2", "topic": "#fff3d6",
    "flink": "#dbeafe", "client": "#d8f3dc", "badge": "#1f2328", "number": "#ffffff",
}  # fmt: skip
DARK = {
    "paper": "#0d1117", "ink": "#e6edf3", "line": "#9198a1", "outside": "#2a313c", "topic": "#4a3a10",
    "flink": "#14365f", "client": "#124226", "badge": "#e6edf3", "number": "#0d1117",
}  # fmt: skip
