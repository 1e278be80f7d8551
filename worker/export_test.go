package worker

// PullBeat is how often a pull has heartbeats.
const PullBeat = pullBeat
