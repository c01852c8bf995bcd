// The code of earlier chapters for later ones: each page is compiled separately and shows only its new code. A page includes
// the pieces that it builds on, in their state of the previous chapter.
macro_rules! shelf {
    (@hello) => {
        #[get("/")]
        async fn hello() -> &'static str {
            "A shelf of books."
        }
    };
    (@book) => {
        #[derive(Clone, Serialize, JsonSchema)]
        struct Book {
            id: u32,
            title: String,
            year: u16,
        }
    };
    (@new_book) => {
        #[derive(Deserialize, JsonSchema)]
        struct NewBook {
            title: String,
            year: u16,
        }
    };
    (@new_book_with_rules) => {
        #[derive(Deserialize, JsonSchema, Validate)]
        struct NewBook {
            #[garde(length(chars, min = 1, max = 200))]
            title: String,
            #[garde(range(min = 1450, max = 2100))]
            year: u16,
        }
    };
    (@search) => {
        #[derive(Deserialize, JsonSchema)]
        struct Search {
            /// A part of the title.
            title: Option<String>,
            from: Option<u16>,
            to: Option<u16>,
        }

        impl Search {
            fn matches(&self, book: &Book) -> bool {
                self.title.as_ref().is_none_or(|part| book.title.contains(part))
                    && self.from.is_none_or(|from| from <= book.year)
                    && self.to.is_none_or(|to| book.year <= to)
            }
        }
    };
    (@error) => {
        #[derive(Debug, Problem)]
        enum ShelfError {
            #[problem(status = 404, title = "No such book", detail = "no book has the id {id}")]
            NoBook { id: u32 },
            #[problem(status = 409, title = "Already there", detail = "the shelf already has {title:?}")]
            AlreadyThere { title: String },
        }
    };
    (@books) => {
        #[derive(Clone, Default)]
        struct Books(Arc<Mutex<Vec<Book>>>);

        impl Books {
            fn add(&self, new: NewBook) -> Result<Book, ShelfError> {
                let mut books = self.0.lock().unwrap();
                if books.iter().any(|book| book.title == new.title) {
                    return Err(ShelfError::AlreadyThere { title: new.title });
                }
                let book = Book { id: books.len() as u32 + 1, title: new.title, year: new.year };
                books.push(book.clone());
                Ok(book)
            }

            fn find(&self, search: &Search) -> Vec<Book> {
                self.0.lock().unwrap().iter().filter(|book| search.matches(book)).cloned().collect()
            }

            fn show(&self, id: u32) -> Result<Book, ShelfError> {
                let books = self.0.lock().unwrap();
                books.iter().find(|book| book.id == id).cloned().ok_or(ShelfError::NoBook { id })
            }
        }
    };
    (@shelf) => {
        #[derive(Clone, Default, FromRef)]
        struct Shelf {
            books: Books,
        }
    };
    (@find) => {
        #[get("/books")]
        async fn find(search: Query<Search>, books: State<Books>) -> Json<Vec<Book>> {
            Json(books.find(&search))
        }
    };
    (@show) => {
        #[get("/books/{id}")]
        async fn show(id: Path<u32>, books: State<Books>) -> Result<Json<Book>, ShelfError> {
            Ok(Json(books.show(*id)?))
        }
    };
    (@add) => {
        #[post("/books")]
        async fn add(new: Valid<Json<NewBook>>, books: State<Books>) -> Result<Created<Json<Book>>, ShelfError> {
            let Valid(Json(new)) = new;
            let book = books.add(new)?;
            Ok(Created::at(format!("/books/{}", book.id), Json(book)))
        }
    };
    (@guard) => {
        /// The librarian's secret.
        #[derive(Clone)]
        struct Token(Arc<str>);

        struct Librarian;

        impl<S> Authenticate<S> for Librarian
        where
            Token: FromRef<S>,
        {
            type Credentials = Bearer;

            async fn authenticate(bearer: Bearer, state: &S) -> Result<Self, Problem> {
                match bearer.token.is(&Token::from_ref(state).0) {
                    true => Ok(Librarian),
                    false => Err(Bearer::refused("this is not the librarian's token")),
                }
            }
        }
    };
    (@shelf_with_token) => {
        #[derive(Clone, FromRef)]
        struct Shelf {
            books: Books,
            token: Token,
        }

        impl Shelf {
            fn new(token: &str) -> Self {
                Shelf { books: Books::default(), token: Token(token.into()) }
            }
        }
    };
    (@add_by_librarian) => {
        #[post("/books")]
        async fn add(
            _: Auth<Librarian>,
            new: Valid<Json<NewBook>>,
            books: State<Books>,
        ) -> Result<Created<Json<Book>>, ShelfError> {
            let Valid(Json(new)) = new;
            let book = books.add(new)?;
            Ok(Created::at(format!("/books/{}", book.id), Json(book)))
        }
    };
    (@app) => {
        fn app(shelf: Shelf) -> App<Shelf, Routes<Shelf>> {
            App::new(shelf).routes(routes![hello, find, show, add])
        }
    };
    (@books_that_find) => {
        #[derive(Clone, Default)]
        struct Books(Arc<Mutex<Vec<Book>>>);

        impl Books {
            fn find(&self, search: &Search) -> Vec<Book> {
                self.0.lock().unwrap().iter().filter(|book| search.matches(book)).cloned().collect()
            }
        }
    };
    ($($piece:ident)+) => {
        $(shelf!(@$piece);)+
    };
}
