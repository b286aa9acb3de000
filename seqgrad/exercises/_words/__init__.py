"""Everything the exercises say, a module each and one for what they share: a task, praise (``right``), hints."""
