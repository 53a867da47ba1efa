"""The job `retrain`: a night of new data, a candidate, gates, and a champion that only a better model can replace."""
