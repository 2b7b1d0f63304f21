from deskbell.cli.main import main

main()
