"""What rules, decorrelation methods and optimisers share: their memory, their needs of the hardware, schedules."""
