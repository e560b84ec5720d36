"""What the rejections teach (the notice's clause 三): cases, effectiveness, reports, the operators' page."""
