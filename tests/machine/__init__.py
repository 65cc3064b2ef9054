"""What a test run leaves on the machine: looked for, attributed to the test that left it, and cleaned away.

Who made a thing is known by three signs, in this order:

1. *A mark in its name.* `marks.of(nodeid)` gives each test a short mark, ``engine-test-RUN-HASH``; the fixture
   `engine_root` uses it for its directories and its cgroups, so mounts, loop devices and cgroups bear it in a path.
2. *A mark in its environment.* ``TESTRUN_NODE`` holds the node id of the running test; its processes inherit it.
3. *Descent.* `tests.machine.reaper`, under which ``./dev test`` runs pytest, is the subreaper of everything that the
   run starts (prctl(2), PR_SET_CHILD_SUBREAPER): what is still below it at the end is the run's, whatever it did to its
   name and environment.

Other people use a developer's machine at the same time: a mount, cgroup, link or loop device that came meanwhile and
has no sign of ours is printed and forgiven there, but fails the run where the machine belongs to it alone (``CI`` is
set).
"""
