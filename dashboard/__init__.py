"""A web page on 127.0.0.1 that shows the labels of `user_labeling` and updates itself."""
