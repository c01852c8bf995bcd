// A round trip through the client that OpenAPI Generator writes in Go.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	"links"
)

func check(condition bool, message string) {
	if !condition {
		log.Fatal(message)
	}
}

func main() {
	configuration := links.NewConfiguration()
	configuration.Servers = links.ServerConfigurations{{URL: os.Args[1]}}
	client := links.NewAPIClient(configuration)
	all := context.Background()

	credentials := *links.NewUsersCredentials("golang", "correct horse")
	_, response, err := client.UsersAPI.UsersSignUp(all).UsersCredentials(credentials).Execute()
	check(err == nil && response.StatusCode == 201, "sign up")
	_, response, err = client.UsersAPI.UsersSignIn(all).UsersCredentials(credentials).Execute()
	check(err == nil && response.StatusCode == 201, "sign in")
	cookie, _, _ := strings.Cut(response.Header.Get("set-cookie"), ";")
	configuration.AddDefaultHeader("cookie", cookie)

	link := links.NewNewLinkNewLinkInput("https://example.com")
	link.SetSlug("by-go")
	created, _, err := client.LinksAPI.LinksCreate(all).NewLinkNewLinkInput(*link).Execute()
	check(err == nil && created.GetSlug() == "by-go", "create")
	_, response, err = client.LinksAPI.LinksCreate(all).NewLinkNewLinkInput(*link).Execute()
	check(err != nil && response.StatusCode == 409, "a conflict")
	failure, isFailure := err.(*links.GenericOpenAPIError)
	check(isFailure && strings.Contains(string(failure.Body()), "Slug taken"), "a conflict has its title")
	page, _, err := client.LinksAPI.LinksList(all).Limit(1).Execute()
	check(err == nil && len(page.GetLinks()) == 1, "list")
	shown, _, err := client.LinksAPI.LinksShow(all, "by-go").Execute()
	check(err == nil && shown.GetClicks() == 0, "show")
	response, err = client.LinksAPI.LinksRemove(all, "by-go").Execute()
	check(err == nil && response.StatusCode == 204, "remove")
	_, response, err = client.LinksAPI.LinksShow(all, "by-go").Execute()
	check(err != nil && response.StatusCode == 404, "a removed link is a problem")
}
