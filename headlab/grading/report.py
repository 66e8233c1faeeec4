"""The reports of a grading: tables for the teacher and the learning platforms, a page for each student, a summary."""

import csv
import io
import os
import re
from collections import Counter
from html import escape

MARKS = {"passed": "✓", "not yet": "✗", "not attempted": "…"}
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:start;vertical-align:top}.note{color:#555}"
)


def write_reports(lesson, results, out):
    """All tables and pages of a grading into the folder `out`."""
    out.joinpath("feedback").mkdir(exist_ok=True)
    for name, rows in tables(lesson, results).items():
        write_whole(out / name, as_csv(rows))
    for result in results:
        write_whole(out / "feedback" / f"{file_name(result.student)}.html", feedback(lesson, result))
    write_whole(out / "summary.png", _bar_chart(lesson, results))
    write_whole(out / "summary.html", summary(lesson, results))


def tables(lesson, results):
    """{file name: rows} of the tables: the full one, and those that Moodle, Canvas and Blackboard accept."""
    possible = sum(item.points for item in lesson.items)
    name = f"headlab lesson {lesson.number}"
    full = [["student", "points", "possible", *(item.number for item in lesson.items), "remarks"]]
    for r in results:
        by_number = {mark.number: mark.points for mark in r.marks}
        remarks = "; ".join([r.fault, *r.notes, *(f"{m.number}: {n}" for m in r.marks for n in m.notes)]).strip("; ")
        total = "" if r.fault else r.points  # no mark rather than a 0 where nothing could be graded
        full.append([r.student, total, possible, *(by_number.get(item.number, "") for item in lesson.items), remarks])
    totals = [(row[0], row[1]) for row in full[1:]]
    return {"grades.csv": full, **platforms(name, possible, totals)}


def platforms(name, possible, totals):
    """{file name: rows} of the tables for Moodle, Canvas and Blackboard; totals: (student, points or "") of each."""
    return {
        "moodle.csv": [["Username", name], *totals],
        "canvas.csv": [
            ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name],
            ["    Points Possible", "", "", "", "", possible],
            *([student, "", "", student, "", points] for student, points in totals),
        ],
        "blackboard.csv": [["Username", f"{name} [Total Pts: {possible} Score]"], *totals],
    }


def as_csv(rows):
    """Rows as CSV that spreadsheets read as UTF-8, with no cell that they would take for a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([f"'{cell}" if re.match(r"[=+\-@\t\r]", str(cell)) else cell for cell in row] for row in rows)
    return stream.getvalue().encode("utf-8-sig")


def feedback(lesson, result):
    """A student's page: what was right, what was wrong and why, and where to read on."""
    items = {item.number: item for item in lesson.items}
    rows = []
    for mark in result.marks:
        item = items[mark.number]
        lines = [f"{MARKS[mark.status]} {escape(mark.message)}"]
        if mark.status != "passed":
            lines.append(f"<span class=note>Read on: {escape(_read_on(item))}</span>")
        lines += [f"<span class=note>Note: {escape(note)}.</span>" for note in mark.notes]
        title = f"{'' if item.own else item.number + ' · '}{escape(item.title)}"
        rows.append(f"<tr><td>{title}<td>{mark.points} of {mark.possible}<td>{'<br>'.join(lines)}</tr>")
    possible = sum(item.points for item in lesson.items)
    total = f"{result.points} of {possible} points" if not result.fault else f"Not graded: {escape(result.fault)}."
    notes = "".join(f"<p class=note>Note: {escape(note)}.</p>" for note in result.notes)
    table = f"<table><tr><th>exercise<th>points<th>what the grader found</tr>{''.join(rows)}</table>" if rows else ""
    heading = f"<h1>{escape(lesson.title)}</h1><p dir=auto><b>{escape(result.student)}</b></p><p>{total}</p>"
    return _page(f"Lesson {lesson.number}", heading + notes + table)


def _read_on(item):
    if item.own:
        return "what print(own_task(...)) says; work on the class's model, with your own name."
    sections = f"{', '.join(item.sections)}; " if item.sections else ""
    return f"{sections}the hints of exercise {item.number}."


def summary(lesson, results):
    """The teacher's page: which exercises were solved, which mistakes were named how often, and what to look at."""
    graded = [result for result in results if not result.fault]
    parts = [f"<h1>{escape(lesson.title)}</h1><p>{len(results)} handed in, {len(graded)} graded.</p>"]
    parts.append(
        "<p><img src=summary.png alt='Bars: how many students solved each exercise' style='max-width:100%'></p>"
    )
    said = Counter((m.number, m.message) for r in graded for m in r.marks if m.status == "not yet")
    order = {item.number: place for place, item in enumerate(lesson.items)}
    rows = sorted(said.items(), key=lambda pair: (order[pair[0][0]], -pair[1]))
    cells = "".join(f"<tr><td>{n}<td>{count}<td>{escape(message)}</tr>" for (n, message), count in rows)
    parts.append(f"<h2>Mistakes</h2><table><tr><th>exercise<th>students<th>mistake</tr>{cells}</table>")
    notes = [(r.student, [r.fault, *r.notes, *(f"{m.number}: {n}" for m in r.marks for n in m.notes)]) for r in results]
    lines = [f"<li><bdi>{escape(who)}</bdi>: {escape('; '.join(filter(None, n)))}</li>" for who, n in notes if any(n)]
    lines += [f"<li>{escape(line)}</li>" for line in alike(results)]
    parts.append(f"<h2>To look at</h2><ul>{''.join(lines) or '<li>nothing</li>'}</ul>")
    return _page(f"Lesson {lesson.number}: summary", "".join(parts))


def alike(results):
    """A line for each group of students whose solved functions differ only in comments and layout."""
    groups = {}
    for result in results:
        code = tuple((m.number, m.code) for m in result.marks if m.status == "passed" and m.code)
        if len(code) >= 3:  # the short ones are often alike
            groups.setdefault(code, []).append(result.student)
    groups = [names for names in groups.values() if len(names) > 1]
    return [f"the same code in every solved exercise: {', '.join(names)}" for names in groups]


def _bar_chart(lesson, results):
    """The summary's figure as PNG: for each exercise, how many students solved it, tried it or did not attempt it."""
    from matplotlib.figure import Figure

    marks = [mark for result in results for mark in result.marks]
    figure = Figure(figsize=(8, 1 + 0.4 * len(lesson.items)), layout="constrained")
    ax = figure.subplots()
    labels = [item.title if item.own else f"{item.number} · {item.title}" for item in lesson.items]
    left = [0] * len(labels)
    for status, colour, label in (
        ("passed", "#2a7f62", "solved"),
        ("not yet", "#d98c3a", "tried, not solved"),
        ("not attempted", "#c8c8c8", "not attempted"),
    ):
        counts = [sum(m.number == item.number and m.status == status for m in marks) for item in lesson.items]
        ax.barh(labels, counts, left=left, color=colour, label=label)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    ax.invert_yaxis()
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="students", title=f"Lesson {lesson.number}, {len(results)} handed in: what was solved")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def file_name(student):
    """A student's name as part of a file's name."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", student)


def _page(title, body):
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>"
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>\n"


def write_whole(path, content):
    """Write a file whole or not at all; content: text or bytes."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
