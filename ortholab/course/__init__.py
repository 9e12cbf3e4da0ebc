"""The course: the student release, and grading that an instructor can trust. Needs ``pip install 'ortholab[course]'``.

* :func:`ortholab.course.release.release`  sources to the students' zip
* :func:`ortholab.course.class_run.run`    a folder of submissions to marks, feedback pages and a class summary
* :mod:`ortholab.course.isolate`           what keeps a submission in, level by level
"""
