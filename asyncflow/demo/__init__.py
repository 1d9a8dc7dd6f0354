"""The workflow of `asyncflow demo`, written as a user would: with the public names and nothing else.

It reads a folder, never leaves it by a link, and writes one report; everything is bounded. The
command that runs it is `cli/demo`, which loads it as `asyncflow run --load asyncflow.demo` would.
"""

from __future__ import annotations

import asyncflow as af
from asyncflow.demo.tasks import list_files, measure_file, summarise_kind, write_report

_BY_KIND = """
var kinds = {};
Object.values($.measured).forEach(function (file) {
  var kind = kinds[file.kind] = kinds[file.kind] || {kind: file.kind, files: []};
  kind.files.push(file);
});
Object.keys(kinds).sort().map(function (name) { return kinds[name]; });
"""

with af.Workflow("demo_kind", description="What there is to say of the files of one kind.") as kind:
    summed = summarise_kind.node("sum_up", kind=kind.input.kind, files=kind.input.files)
    size = af.nodes.switch(
        summed.output.is_text,
        cases={True: af.nodes.set_variables({"unit": "lines"}, ref="in_lines")},
        default=af.nodes.set_variables({"unit": "bytes"}, ref="in_bytes"),
        ref="text_or_not",
    )
    kind >> summed >> size
    kind.output(
        kind=kind.input.kind,
        files=summed.output.files,
        bytes=summed.output.bytes,
        lines=summed.output.lines,
        largest=summed.output.largest,
        unit=kind.variables.unit,
    )

with af.Workflow("demo", description="Hash and count the files of a folder, and report on them.") as demo:
    listed = list_files.node(
        "list_files",
        folder=demo.input.folder,
        most=demo.input.most,
        except_folder=demo.input.except_folder,
    )
    measured = af.nodes.dynamic_fork(
        listed.output.files, task=measure_file, ref="measure_files", join=af.nodes.join(ref="measured")
    )
    by_kind = af.nodes.inline(_BY_KIND, ref="group_by_kind", inputs={"measured": measured.join.output})
    kinds = af.nodes.dynamic_fork(
        by_kind.output.result, workflow=kind, ref="each_kind", join=af.nodes.join(ref="kinds")
    )
    report = write_report.node(
        "write_report",
        folder=demo.input.folder,
        report=demo.input.report,
        kinds=kinds.join.output,
        left_out=listed.output.left_out,
    )
    demo >> listed >> measured >> by_kind >> kinds >> report
    demo.output(
        report=report.output.report,
        files=report.output.files,
        bytes=report.output.bytes,
        lines=report.output.lines,
        kinds=report.output.kinds,
        left_out=listed.output.left_out,
    )
