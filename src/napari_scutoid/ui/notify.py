"""Tell the user about a problem: one napari notification, and the words to keep on the widget."""

from __future__ import annotations

from napari_scutoid.errors import as_problem


def tell(error: BaseException) -> str:
    """Show an error as one napari notification and return it as text.

    A bug is shown with napari's *View Traceback* button.
    """
    from napari.utils.notifications import notification_manager, show_error

    problem = as_problem(error)
    if problem is not None:
        show_error(str(problem))
        return str(problem)
    notification_manager.receive_error(type(error), error, error.__traceback__)
    return (
        f"The program made a mistake ({type(error).__name__}: {error}). What to try: press View Traceback in the "
        "message at the lower right and report what it shows; your stack and its files are unchanged."
    )
