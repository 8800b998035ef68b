"""Grading notebooks that students hand in: `marks` makes the table, `sandbox` shuts in what they wrote.

A student's code runs in a process of its own (`answer`), which can say one thing only: what the answer is, as plain
data. The verdict is reached outside, by checks that this code has never touched.
"""
