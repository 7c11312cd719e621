from tests.audit.conftest import copied_books, full_books

__all__ = ["copied_books", "full_books"]
