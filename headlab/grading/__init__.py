"""Grading for teachers: students' code is run on fresh cases, apart from the grader, and gets marks with reasons.

    master -> lesson.py: exercises, functions, points        a student's notebook -> submissions.py
                 |                                                       |
                 |            sandbox.py: a process without network, with limits, runs what the function needs
                 |                                                       | plain data
                 +-----------> judge.py: compares, on fresh.py's cases <-+
                                  |
                     report.py: CSV, feedback, summary;  coursework.py: the same within nbgrader

Students do not get this folder: it knows the answers to their own tasks.
"""
