"""The embedded blob store: uploads, blobs and cache fills as files of one data folder."""
