"""Draw the study's rules: ``snakemake --rulegraph dot | python docs/draw_dag.py > dag.svg``.

Leaves out the rule that writes configurations (every rule reads one) and arrows that follow from
others. Needs graphviz.
"""

import re
import subprocess
import sys

LEFT_OUT = ("write_config", "all")


def main() -> None:
    """Read a rule graph from standard input and write a picture (SVG) to standard output."""
    graph = sys.stdin.read()
    numbers = re.findall(rf'(\d+)\[label = "(?:{"|".join(LEFT_OUT)})"', graph)
    touched = re.compile(
        rf"^\s*(?:(?:{'|'.join(numbers)})(?:\[| ->)|\d+ -> (?:{'|'.join(numbers)})$)"
    )
    lines = [line for line in graph.splitlines() if not touched.match(line)]
    plain = re.sub(r', color = "[^"]*"', "", "\n".join(lines))
    wide = plain.replace("graph[", "graph[rankdir=LR, ranksep=0.3, nodesep=0.15, ")
    reduced = subprocess.run(["tred"], input=wide, text=True, capture_output=True, check=True)
    subprocess.run(["dot", "-Tsvg"], input=reduced.stdout, text=True, check=True)


if __name__ == "__main__":
    main()
