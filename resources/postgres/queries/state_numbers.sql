SELECT metric, label, number FROM cixml.state_numbers()
