"""A class's work on one lesson: several students graded at a time, each result saved at once, then the reports."""

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from headlab._expect import expect
from headlab.grading.judge import Mark, check_lesson, judge_cells
from headlab.grading.lesson import lesson_of
from headlab.grading.report import write_reports, write_whole
from headlab.grading.sandbox import LIMITS
from headlab.grading.submissions import submissions_in


@dataclass(frozen=True)
class Graded:
    """A student's marks; if there are none, fault says why."""

    student: str
    marks: tuple[Mark, ...]
    fault: str
    notes: tuple[str, ...]
    digest: str

    @property
    def points(self):
        """The points earned."""
        return sum(mark.points for mark in self.marks)


def grade_folder(folder, number, out, model="mini", workers=2, told=print, limits=LIMITS):
    """Grade what a folder holds for a lesson, write the results to the folder `out`, return (Lesson, [Graded]).

    What was graded before, from the same file by the same rules, is not graded again. told(line) is called with each
    line on the progress; no line names a student. Raises ValueError in one line if an argument is wrong.
    """
    expect(isinstance(workers, int) and workers >= 1, "--workers", "a whole number from 1", workers)
    lesson, out = lesson_of(number), Path(out)
    handed_in = submissions_in(folder, lesson)
    inside = out.resolve().is_relative_to(Path(folder).resolve())
    expect(not inside, "--out", "a folder outside of what was handed in", out)
    kept = out / "results"
    kept.mkdir(parents=True, exist_ok=True)
    seed = class_seed(out / "seed.txt")
    check_lesson(lesson, seed)
    rules = f"{lesson.version} {seed} {model} {limits}"
    graded, waiting = {}, []
    for one in handed_in:
        before = _read(kept / f"{_digest(one.student)}.json", f"{rules} {one.digest} {one.fault} {one.notes}")
        if before:
            graded[one.student] = before
        else:
            waiting.append(one)
    if graded:
        told(f"{len(graded)} of {len(handed_in)} were graded before")
    with ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(_graded, one, lesson, seed, model, limits, kept, rules) for one in waiting]
        try:
            for task in as_completed(tasks):
                result = task.result()
                graded[result.student] = result
                told(f"{len(graded)} of {len(handed_in)} graded")
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    results = [graded[one.student] for one in handed_in]
    write_reports(lesson, results, out)
    return lesson, results


def _graded(one, lesson, seed, model, limits, kept, rules):
    marks = () if one.fault else judge_cells(lesson, list(one.cells), one.student, seed, model, limits)
    result = Graded(one.student, marks, one.fault, one.notes, one.digest)
    content = {"rules": f"{rules} {one.digest} {one.fault} {one.notes}", **asdict(result)}
    write_whole(kept / f"{_digest(one.student)}.json", json.dumps(content, ensure_ascii=False, indent=1))
    return result


def _read(path, rules):
    """A student's saved grading; None where there is none, or it was done by other rules."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("rules") != rules:
            return None
        marks = tuple(Mark(**mark | {"notes": tuple(mark["notes"])}) for mark in content["marks"])
        return Graded(**content | {"marks": marks, "notes": tuple(content["notes"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def class_seed(path):
    """The seed of this grading's cases: drawn once, and the same for the whole class."""
    if not path.exists():
        write_whole(path, str(secrets.randbelow(2**31)))
    text = path.read_text(encoding="utf-8").strip()
    expect(text.isdigit(), str(path), "a whole number (delete the file for a new one)", text)
    return int(text)


def _digest(student):
    return hashlib.sha256(student.encode()).hexdigest()[:16]
