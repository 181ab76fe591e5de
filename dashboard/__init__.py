"""A web page that shows the labels of `user_labeling` and updates itself."""
