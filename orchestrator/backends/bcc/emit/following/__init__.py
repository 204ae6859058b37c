"""Programs that follow what the target is: tasks from fork to exit, cgroups that come and go."""
